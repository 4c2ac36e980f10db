#!/usr/bin/env python3
"""Makes the fixtures that the dual and fusion encoders are compared with: small models with random weights, and what the reference says.

    python3 scripts/encoder_fixtures.py tools/perception/tests/fixtures

needs torch, transformers (4.38), onnx and pillow. Each folder has the files of a model as they are published for ONNX Runtime, and
`reference.json` with the texts, a picture (`picture.png`, drawn here) and the numbers that the reference implementation gives for them.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertTokenizerFast, BlipConfig, BlipForImageTextRetrieval, BlipImageProcessor, CLIPConfig, CLIPImageProcessor, CLIPModel,
    SiglipConfig, SiglipImageProcessor, SiglipModel,
)

TEXTS = ["a red circle", "two blue squares, at night", "A photo of a cat!", "naïve café 42"]
CORPUS = TEXTS + ["a photo of a dog", "a green triangle on a table", "what is in the picture?", "the cat and the dog"] * 3
SIDE = 32


def picture(width, height):
    image = Image.new("RGB", (width, height), (240, 240, 230))
    pen = ImageDraw.Draw(image)
    pen.ellipse([width * 0.2, height * 0.25, width * 0.7, height * 0.8], fill=(200, 40, 50))
    pen.rectangle([width * 0.6, height * 0.1, width * 0.9, height * 0.5], fill=(30, 80, 190))
    for x in range(width):
        image.putpixel((x, int((math.sin(x / 5) + 1) * (height - 1) / 2)), (0, 0, 0))
    return image


def clip_tokenizer(folder):
    """Byte-level BPE with `</w>` as CLIP has it, trained on a few sentences."""
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFC(), normalizers.Replace(__import__("tokenizers").Regex(r"\s+"), " "), normalizers.Lowercase()])
    pattern = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(__import__("tokenizers").Regex(pattern), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    start, end = (tokenizer.token_to_id(token) for token in ("<|startoftext|>", "<|endoftext|>"))
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=("<|endoftext|>", end), cls=("<|startoftext|>", start), trim_offsets=False, add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer, end


def export(module, args, path, inputs, outputs, dynamic):
    torch.onnx.export(module, args, str(path), input_names=inputs, output_names=outputs, dynamic_axes=dynamic, opset_version=14)


class Vision(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model.get_image_features(pixel_values=pixel_values)


class Text(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model.get_text_features(input_ids=input_ids)


class Matching(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values, input_ids, attention_mask):
        return self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask, use_itm_head=True)[0]


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def both_pictures(processor, folder):
    """One picture of the size that the model takes, and one that has to be scaled and cut."""
    found = {}
    for name, size in (("picture", (SIDE, SIDE)), ("wide", (90, 60))):
        picture(*size).save(folder / f"{name}.png")
        values = processor(Image.open(folder / f"{name}.png"), return_tensors="np")["pixel_values"]
        found[name] = torch.tensor(values.tolist())
    return found


def write(folder, reference):
    (folder / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")


def clip(folder):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, end = clip_tokenizer(folder)
    size = tokenizer.get_vocab_size()
    config = CLIPConfig(
        text_config={"vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                     "max_position_embeddings": 24, "projection_dim": 16, "bos_token_id": 0, "eos_token_id": end},
        vision_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                       "image_size": SIDE, "patch_size": 8, "projection_dim": 16},
        projection_dim=16)
    model = CLIPModel(config).eval()
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(folder)
    config.save_pretrained(folder)
    pixels = both_pictures(processor, folder)
    tokens = [tokenizer.encode(text).ids for text in TEXTS]
    export(Vision(model), (pixels["picture"],), folder / "vision_model.onnx", ["pixel_values"], ["image_embeds"], {"pixel_values": {0: "n"}})
    export(Text(model), (torch.tensor([tokens[0]]),), folder / "text_model.onnx", ["input_ids"], ["text_embeds"],
           {"input_ids": {0: "n", 1: "tokens"}})
    with torch.no_grad():
        texts = torch.cat([unit(model.get_text_features(input_ids=torch.tensor([ids]))) for ids in tokens])
        images = {name: unit(model.get_image_features(pixel_values=values)) for name, values in pixels.items()}
        write(folder, {
            "texts": TEXTS, "tokens": tokens, "text_features": texts.tolist(),
            "pictures": {name: values[0].tolist() for name, values in images.items()},
            "labels": {name: (100 * values @ texts.T).softmax(-1)[0].tolist() for name, values in images.items()},
        })


def siglip_tokenizer(folder):
    """A unigram model on words after `▁`, as SentencePiece has it, trained on a few sentences."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def siglip(folder):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = siglip_tokenizer(folder)
    length = 24
    config = SiglipConfig(
        text_config={"vocab_size": tokenizer.get_vocab_size(), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                     "num_attention_heads": 4, "max_position_embeddings": length, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1},
        vision_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                       "image_size": SIDE, "patch_size": 8})
    model = SiglipModel(config).eval()
    # The exporter knows no padding by name; "valid" is none.
    model.vision_model.embeddings.patch_embedding.padding = (0, 0)
    processor = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(folder)
    config.save_pretrained(folder)
    pixels = both_pictures(processor, folder)
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids[:length]
        rows.append(ids + [0] * (length - len(ids)))
    export(Vision(model), (pixels["picture"],), folder / "vision_model.onnx", ["pixel_values"], ["image_embeds"], {"pixel_values": {0: "n"}})
    export(Text(model), (torch.tensor([rows[0]]),), folder / "text_model.onnx", ["input_ids"], ["text_embeds"], {"input_ids": {0: "n"}})
    with torch.no_grad():
        texts = unit(model.get_text_features(input_ids=torch.tensor(rows)))
        images = {name: unit(model.get_image_features(pixel_values=values)) for name, values in pixels.items()}
        write(folder, {
            "texts": TEXTS, "tokens": rows, "text_features": texts.tolist(),
            "pictures": {name: values[0].tolist() for name, values in images.items()},
        })


def blip(folder):
    folder.mkdir(parents=True, exist_ok=True)
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False))
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    words.save(str(folder / "tokenizer.json"))
    config = BlipConfig(
        text_config={"vocab_size": words.get_vocab_size(), "hidden_size": 32, "encoder_hidden_size": 32, "intermediate_size": 64,
                     "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 40, "projection_dim": 16},
        vision_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                       "image_size": SIDE, "patch_size": 8},
        projection_dim=16, image_text_hidden_size=16)
    model = BlipForImageTextRetrieval(config).eval()
    # The first weights of this family are so small that everything looks the same.
    for name, weights in model.named_parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=0.2)
    processor = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(folder)
    config.save_pretrained(folder)
    pixels = both_pictures(processor, folder)
    tokens = [words.encode(text).ids for text in TEXTS]
    first = torch.tensor([tokens[0]])
    export(Matching(model), (pixels["picture"], first, torch.ones_like(first)), folder / "model.onnx",
           ["pixel_values", "input_ids", "attention_mask"], ["itm_score"],
           {"input_ids": {1: "tokens"}, "attention_mask": {1: "tokens"}})
    with torch.no_grad():
        def match(values, ids):
            ids = torch.tensor([ids])
            return Matching(model)(values, ids, torch.ones_like(ids)).softmax(-1)[0, 1].item()
        write(folder, {"texts": TEXTS, "tokens": tokens,
                       "match": {name: [match(values, ids) for ids in tokens] for name, values in pixels.items()}})


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    torch.manual_seed(7)
    np.random.seed(7)
    folder = Path(sys.argv[1])
    clip(folder / "clip")
    siglip(folder / "siglip")
    blip(folder / "blip")


if __name__ == "__main__":
    main()
