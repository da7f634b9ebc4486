"""Makes `model_demo/image/projection.safetensors`: MiniLM's embeddings of the 1000 class names.

They are committed, since computing them at every start would take seconds that nobody has to wait.
"""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save_file

from original import OURS, class_sentences, embed_texts, text_model


def main() -> None:
    table = embed_texts(text_model(), class_sentences())
    target = OURS / "image" / "projection.safetensors"
    save_file({"class_embeddings": table.astype(np.float16)}, target)
    rounding = np.abs(table - table.astype(np.float16).astype(np.float32)).max()
    print(f"{target.name}: {table.shape}, largest rounding by f16 {rounding:.1e}")


if __name__ == "__main__":
    main()
