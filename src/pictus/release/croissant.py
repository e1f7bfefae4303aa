"""Croissant 1.1 metadata of a release: what any loader of the format needs to read it.

https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pictus.release.datasheet import privacy_text
from pictus.releases import CONCEPTS, LABELS, LABELS_NAME, PICTURES
from pictus.shards import extension_of

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

_MEDIA_TYPES = {
    ".parquet": "application/x-parquet", ".csv": "text/csv", ".md": "text/markdown", ".tar": "application/x-tar",
}  # fmt: skip

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_ABOUT = {
    "image_id": "sha256 of the picture's bytes",
    "key": "the member's name in its shard",
    "shard": "the shard's path inside the release",
    "offset": "first byte of the picture in its shard",
    "size": "bytes",
    "split": "train, val or test",
    "concept_id": "the class, a key of the concepts",
    "label": "position of the class among the sorted classes, -1 for an ancestor",
    "posterior": "how probable the label is, by the method that settled it",
    "group_id": "shared by pictures that are duplicates of each other",
    "origin_id": "sha256 of the bytes as they were found; differs from image_id where something was changed",
    "changes": "what was done to the picture for this release: gps removed, 2 faces blurred; empty for most",
}

_ABOUT_LABELS = {
    "posterior": "how probable it is that the picture shows the concept",
    "n_votes": "people who were asked",
    "n_yes": "people of those who said yes, or named the concept",
    "status": "accepted, rejected or unsettled",
    "quality": "of the picture's own label where a model doubted it, 0 to 1; else empty",
}


def croissant(manifest: Mapping[str, Any], licences: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON-LD document. `manifest["files"]` must list every other file with its sum."""
    files = manifest["files"]
    endings = [f"*.{extension_of(name)}" for name in manifest["counts"]["formats"]]
    shards = [path for path in files if path.endswith(".tar")]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": manifest["name"],
        "description": manifest["description"],
        "url": manifest["url"] or f"urn:sha256:{manifest['digest']}",
        "license": [row["licence"] for row in licences],
        "creator": {"@type": "sc:Organization", "name": manifest["creator"]},
        "datePublished": manifest["created"],
        "version": manifest["version"],
        "isLiveDataset": False,
        **_privacy(manifest),
        "distribution": [
            *(_file(path, facts) for path, facts in files.items()),
            {
                "@type": "cr:FileSet",
                "@id": "picture-files",
                "name": "picture-files",
                "description": "Every picture, a member of a shard.",
                "containedIn": [{"@id": path} for path in shards],
                "encodingFormat": "image/*",
                "includes": endings[0] if len(endings) == 1 else endings,
            },
        ],
        "recordSet": [
            _records("pictures", "pictures.parquet", PICTURES, "One row per picture."),
            _records("concepts", "concepts.parquet", CONCEPTS, "The classes and everything above them."),
            *([_label_records()] if LABELS_NAME in files else []),
            _picture_records(),
        ],
    }


def _privacy(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What was done for the sake of the people shown, in a property of Croissant RAI 1.0."""
    facts = manifest["history"].get("privacy")
    if not facts:
        return {}
    return {"rai:dataPreprocessingProtocol": [privacy_text(facts, manifest["counts"].get("changes", {}))]}


def _file(path: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{facts['size']} B",
        "sha256": facts["sha256"],
        "encodingFormat": _MEDIA_TYPES[path[path.rindex(".") :]],
    }


def _records(name: str, path: str, schema: pa.Schema, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/{schema.names[0]}"},
        "field": [_column(name, path, entry) for entry in schema],
    }


def _label_records() -> dict[str, Any]:
    """A row is known by picture and concept together."""
    known = _records("labels", LABELS_NAME, LABELS, "What is known of pictures beyond their one label.")
    fields = [{**one, "description": _ABOUT_LABELS.get(one["name"], one["description"])} for one in known["field"]]
    return {**known, "key": [{"@id": f"labels/{name}"} for name in ("image_id", "concept_id")], "field": fields}


def _column(records: str, path: str, entry: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(entry.type)
    column: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{records}/{entry.name}",
        "name": entry.name,
        "description": _ABOUT.get(entry.name, entry.name.replace("_", " ")),
        "dataType": _data_type(entry.type.value_type if is_list else entry.type),
        "source": {"fileObject": {"@id": path}, "extract": {"column": entry.name}},
    }
    return {**column, "isArray": True, "arrayShape": "-1"} if is_list else column


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"


def _picture_records() -> dict[str, Any]:
    source = {"fileSet": {"@id": "picture-files"}}
    return {
        "@type": "cr:RecordSet",
        "@id": "picture-bytes",
        "name": "picture-bytes",
        "description": "The pictures themselves, by their key in the table of pictures.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": "picture-bytes/key",
                "name": "key",
                "description": _ABOUT["key"],
                "dataType": "sc:Text",
                "references": {"field": {"@id": "pictures/key"}},
                "source": {**source, "extract": {"fileProperty": "filename"}},
            },
            {
                "@type": "cr:Field",
                "@id": "picture-bytes/picture",
                "name": "picture",
                "description": "the picture",
                "dataType": "sc:ImageObject",
                "source": {**source, "extract": {"fileProperty": "content"}},
            },
        ],
    }
