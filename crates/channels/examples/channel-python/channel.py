"""A channel for Sojourn in Python: prints each message, and sends an action id only once.

    pip install grpcio grpcio-tools
    python channel.py --port 9100          # sojourn.yaml: push: { kind: grpc, endpoint: "http://127.0.0.1:9100" }

The stubs are made from proto/ when it starts. Put your provider's call where it says `send`.
"""
import argparse
import concurrent.futures
import json
import pathlib
import sys

import grpc

PROTO = pathlib.Path(__file__).resolve().parents[4] / "proto"
sys.path.insert(0, str(PROTO))
pb, stubs = grpc.protos_and_services("sojourn/channel/v1/channel.proto")


class Push(stubs.ChannelServiceServicer):
    def __init__(self):
        self.sent = {}  # action id -> our message id; a real channel keeps this in a database

    def Describe(self, request, context):
        return pb.DescribeResponse(channels=["push"], idempotency_window_s=86400, status_lookup=True, in_flight=64)

    def Deliver(self, requests, context):
        for request in requests:
            yield self.deliver(request)

    def deliver(self, request):
        answer = pb.DeliverResponse(action_id=request.action_id)
        if request.action_id not in self.sent:
            if request.lookup_only:
                answer.outcome = pb.DELIVERY_OUTCOME_RETRY  # not delivered: it may be sent
                return answer
            self.send(request)
            self.sent[request.action_id] = f"push-{len(self.sent) + 1}"
        answer.outcome, answer.detail = pb.DELIVERY_OUTCOME_SENT, self.sent[request.action_id]
        return answer

    def send(self, request):
        print(json.dumps({"action_id": request.action_id, "to": request.endpoint, "text": request.message.text}), flush=True)

    def Forget(self, request, context):
        return pb.ForgetResponse()  # nothing is kept about an endpoint


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9100)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8))
    stubs.add_ChannelServiceServicer_to_server(Push(), server)
    server.add_insecure_port(f"127.0.0.1:{parser.parse_args().port}")
    server.start()
    server.wait_for_termination()
