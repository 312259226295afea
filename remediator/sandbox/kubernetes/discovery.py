"""What the API server tells about itself: its version, groups and kinds."""

from __future__ import annotations

import platform
from typing import Any

from remediator.sandbox.kubernetes.resources import ALL, Resource

GIT_VERSION = "v1.33.0+sandbox"
_VERBS = ["create", "delete", "get", "list", "patch", "update"]

Document = dict[str, Any]


def document(path: str) -> Document | None:
    """The document at a discovery path; None when the path is none."""
    match path.strip("/").split("/"):
        case ["version"]:
            return _version()
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(name) for name in _groups()],
            }
        case ["apis", group] if group in _groups():
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group)
        case ["api", "v1"]:
            return _resources("", "v1")
        case ["apis", group, "v1"] if group in _groups():
            return _resources(group, "v1")
        case _:
            return None


def takes_any_type(path: str) -> bool:
    """Whether a document is given for a request of whatever content type; for others it has to be JSON.

    So kube-apiserver 1.20 does: the lists of groups are no routes of its web services.
    """
    return path.strip("/").split("/")[0] == "apis" and path.strip("/").count("/") < 2


def _version() -> Document:
    _, minor, _ = GIT_VERSION.split(".", 2)
    return {
        "major": "1",
        "minor": minor,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def _groups() -> list[str]:
    return sorted({resource.group for resource in ALL if resource.group})


def _group(name: str) -> Document:
    served = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _resources(group: str, version: str) -> Document:
    served = [resource for resource in ALL if (resource.group, resource.version) == (group, version)]
    listed = [entry for resource in served for entry in _entries(resource)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": served[0].api_version,
        "resources": listed,
    }


def _entries(resource: Resource) -> list[Document]:
    own: Document = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
        "shortNames": list(resource.short),
    }
    below = [
        {
            "name": f"{resource.plural}/{subresource}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": "Scale" if subresource == "scale" else resource.kind,
            "verbs": ["get", "patch", "update"],
        }
        for subresource in sorted(resource.subresources)
    ]
    return [own, *below]
