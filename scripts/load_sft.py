"""Reads conversations with pictures as trainers do: load_sft.py SFT.jsonl…; `load-sft.sh` runs it where its package is installed.

Names of pictures start at the folder of the file. Prints how many conversations and pictures were read, and the columns.
"""

import json
import pathlib
import sys

import datasets


def read(path):
    rows = datasets.load_dataset("json", data_files=str(path), split="train")
    rows = rows.map(lambda row: {"images": [str(path.parent / name) for name in row["images"]]})
    rows = rows.cast_column("images", datasets.List(datasets.Image()))
    sizes = []
    for row in rows:
        parts = [part for message in row["messages"] for part in message["content"]]
        places = sum(part["type"] == "image" for part in parts)
        if places != len(row["images"]):
            raise SystemExit(f"{path}: a conversation has {places} places for {len(row['images'])} pictures")
        # An access decodes the picture.
        sizes += [image.convert("RGB").size for image in row["images"]]
    return {"conversations": len(rows), "columns": sorted(rows.column_names), "sizes": sorted(set(sizes)), "pictures": len(sizes)}


print(json.dumps([read(pathlib.Path(name).resolve()) for name in sys.argv[1:]]))
