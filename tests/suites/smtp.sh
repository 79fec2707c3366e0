#!/usr/bin/env bash
# e-mail to a real SMTP server
# needs: cargo python binary
cd "$SOJOURN_ROOT" || exit 2
exec tests/smtp.sh
