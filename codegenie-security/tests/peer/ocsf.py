"""Checks lines of JSON against the schema of OCSF 1.8.0: shape, captions, and numbers that belong together."""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

schema = get_ocsf_schema("1.8.0")
embedded = OcsfJsonSchemaEmbedded(schema)
classes = {}


def class_of(event):
    uid = event["class_uid"]
    if uid not in classes:
        name = embedded.lookup_class_name_from_uid(uid)
        checked = embedded.get_class_schema(class_name=name, profiles=event["metadata"]["profiles"])
        classes[uid] = schema["classes"][name], Draft202012Validator(checked)
    return classes[uid]


def faults(event):
    definition, validator = class_of(event)
    for error in validator.iter_errors(event):
        yield f"{error.json_path}: {error.message}"
    for ours, theirs in ("class_name", "caption"), ("category_name", "category_name"):
        if event[ours] != definition[theirs]:
            yield f"{ours} is {event[ours]}, not {definition[theirs]}"
    for number, name in (
        ("activity_id", "activity_name"),
        ("severity_id", "severity"),
        ("status_id", "status"),
        ("type_uid", "type_name"),
    ):
        caption = definition["attributes"][number]["enum"].get(str(event[number]), {}).get("caption")
        if event[number] % 100 != 99 and event[name] != caption:
            yield f"{name} is {event[name]}, not {caption}"


found = [(line, fault) for line in sys.stdin for fault in faults(json.loads(line))]
for line, fault in found[:20]:
    print(fault, line, file=sys.stderr)
sys.exit(1 if found else 0)
