"""Asks a RabbitMQ broker by its official client (pika): rabbit.py URL COMMAND …

ping | bind EXCHANGE QUEUE KEY ARGUMENTS | take QUEUE | count QUEUE. Prints JSON.
"""

import json
import sys

import pika

url, command, *arguments = sys.argv[1:]
parameters = pika.URLParameters(url)
parameters.socket_timeout = parameters.stack_timeout = 5
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
answer = None
if command == "bind":
    exchange, queue, key, options = arguments
    channel.exchange_declare(exchange, exchange_type="topic", durable=True)
    channel.queue_declare(queue, durable=True, arguments=json.loads(options))
    channel.queue_bind(queue, exchange, key)
elif command == "take":
    method, properties, body = channel.basic_get(arguments[0], auto_ack=True)
    if method:
        answer = {
            "exchange": method.exchange,
            "routing_key": method.routing_key,
            "message_id": properties.message_id,
            "delivery_mode": properties.delivery_mode,
            "content_type": properties.content_type,
            "headers": properties.headers,
            "body": body.decode(),
        }
elif command == "count":
    answer = channel.queue_declare(arguments[0], passive=True).method.message_count
connection.close()
print(json.dumps(answer))
