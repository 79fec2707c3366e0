#!/usr/bin/env bash
# e-mail to a real SMTP server
# needs: binary python
# minutes: 10
cd "$SOJOURN_ROOT" || exit 2
exec tests/smtp.sh "$SOJOURN_BIN"
