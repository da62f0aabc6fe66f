"""What every video model's section has: how much of a clip it reads, and what its untrained weights come from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eri.config.strict import Strict


class VideoModelFields(Strict):
    """A network that reads the face crops of a clip themselves, trained end to end."""

    name: str
    frames: int = Field(16, ge=1, description="Frames that it reads of one clip.")
    input_size: int = Field(112, ge=16, description="Side of a face crop in pixels.")
    seed: int | None = Field(
        None, ge=0, description="Of untrained weights; None goes on with the generator that training.seed starts."
    )
    checkpoint: bool = Field(
        False, description="Compute a block's activations again for its gradient: less memory, a third more time."
    )


class BackboneFields(VideoModelFields):
    """A video model around a published backbone."""

    weights: str = Field("pretrained", description="Of the backbone: 'pretrained', 'random', or a path.")
    freeze: Literal["none", "stem", "backbone"] = Field(
        "none", description="What keeps its weights and statistics: nothing, the first layers, or the whole backbone."
    )
