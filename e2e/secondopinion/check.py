"""Holds answers against botocore's models of ECS and EC2.

Reads a JSON list of {"service", "operation", "status", "body"} and prints a JSON list of problems, each with the index
of its answer: an unknown member, a wrong type, a value that is not in an enum, an error that the model does not know.
"""
import json
import sys
import xml.etree.ElementTree as ET

from botocore.loaders import Loader
from botocore.model import ServiceModel

# Source: Amazon ECS API reference, common errors; they are in no model.
UNMODELLED = {"ThrottlingException", "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException",
              "MissingAuthenticationTokenException", "SerializationException", "ServiceUnavailableException",
              "UnknownOperationException", "AccessDeniedException"}
# Members that the model has as plain strings, and the documentation as a set of words.
WORDS = {
    "lastStatus": {"PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"},
    "desiredStatus": {"RUNNING", "PENDING", "STOPPED"},
    "Service.status": {"ACTIVE", "DRAINING", "INACTIVE"},
    "Deployment.status": {"PRIMARY", "ACTIVE", "INACTIVE"},
    "TaskSet.status": {"PRIMARY", "ACTIVE", "DRAINING"},
    "Attachment.type": {"ElasticNetworkInterface"},
    "Attachment.status": {"PRECREATED", "CREATED", "ATTACHING", "ATTACHED", "DETACHING", "DETACHED", "DELETED", "FAILED"},
    "Failure.reason": {"MISSING"},
}


def model(service):
    return ServiceModel(Loader().load_service_model(service, "service-2"))


def check(value, shape, where, problems):
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            problems.append(f"{where}: {type(value).__name__} where {shape.name} is a structure")
            return
        for name, item in value.items():
            if name not in shape.members:
                problems.append(f"{where}.{name}: {shape.name} has no such member")
                continue
            check(item, shape.members[name], f"{where}.{name}", problems)
            words = WORDS.get(f"{shape.name}.{name}", WORDS.get(name))
            if words and item not in words:
                problems.append(f"{where}.{name}: {item!r} is none of {sorted(words)}")
    elif kind == "list":
        if not isinstance(value, list):
            problems.append(f"{where}: {type(value).__name__} where a list is")
            return
        for i, item in enumerate(value):
            check(item, shape.member, f"{where}[{i}]", problems)
    elif kind == "map":
        for key, item in value.items():
            check(item, shape.value, f"{where}[{key}]", problems)
    else:
        scalar(value, shape, kind, where, problems)


def scalar(value, shape, kind, where, problems):
    wanted = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": (int, float),
              "double": (int, float), "float": (int, float)}[kind]
    if not isinstance(value, wanted) or isinstance(value, bool) != (kind == "boolean"):
        problems.append(f"{where}: {type(value).__name__} where a {kind} is")
    elif kind == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        problems.append(f"{where}: {value!r} is not in the enum {shape.name}")


def check_xml(element, shape, where, problems):
    """EC2's XML: members by their locationName, lists as <item>."""
    tag = lambda e: e.tag.split("}")[-1]
    kind = shape.type_name
    if kind == "structure":
        names = {m.serialization.get("name", n): m for n, m in shape.members.items()}
        for child in element:
            name = tag(child)
            if name == "requestId" and where == "answer":
                continue
            if name not in names:
                problems.append(f"{where}.{name}: {shape.name} has no such member")
            else:
                check_xml(child, names[name], f"{where}.{name}", problems)
    elif kind == "list":
        for i, child in enumerate(element):
            if tag(child) != "item":
                problems.append(f"{where}: <{tag(child)}> where <item> is")
            check_xml(child, shape.member, f"{where}[{i}]", problems)
    else:
        text = element.text or ""
        if kind in ("integer", "long") and not text.lstrip("-").isdigit():
            problems.append(f"{where}: {text!r} where a {kind} is")
        elif kind == "boolean" and text not in ("true", "false"):
            problems.append(f"{where}: {text!r} where a boolean is")
        elif kind == "string" and getattr(shape, "enum", None) and text not in shape.enum:
            problems.append(f"{where}: {text!r} is not in the enum {shape.name}")


def check_error(answer, operation, problems):
    if answer["service"] == "ec2":
        return  # EC2 models no errors
    code = json.loads(answer["body"]).get("__type", "")
    known = {e.name for e in operation.error_shapes} | UNMODELLED
    if code not in known:
        problems.append(f"the error {code!r} is none of {sorted(known)}")


def main():
    models = {s: model(s) for s in ("ecs", "ec2")}
    found = []
    for index, answer in enumerate(json.load(sys.stdin)):
        operation = models[answer["service"]].operation_model(answer["operation"])
        problems = []
        if answer["status"] != 200:
            check_error(answer, operation, problems)
        elif answer["service"] == "ec2":
            check_xml(ET.fromstring(answer["body"]), operation.output_shape, "answer", problems)
        else:
            check(json.loads(answer["body"]), operation.output_shape, "answer", problems)
        found += [{"index": index, "problem": p} for p in sorted(set(problems))]
    json.dump(found, sys.stdout)


main()
