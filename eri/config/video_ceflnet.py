"""The section that describes CEFLNet (Liu et al. 2022): clips of a video, their features, and which of them matter."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from eri.config.video_base import BackboneFields


class CEFLNetConfig(BackboneFields):
    """CEFLNet, all of whose parts can be switched off: the rows of the paper's table 6 are configs of this.

    ==================  ================  ==========  ======================  ===========
    row of table 6      `self_attention`  `relation`  `emotional_activation`  `recurrent`
    ==================  ================  ==========  ======================  ===========
    ResNet-18           false             false       false                   false
    CNN-LSTM            false             false       false                   true
    + SAL               true              false       false                   false
    + LRL               true              true        false                   false
    + EIAN              true              true        true                    false
    ==================  ================  ==========  ======================  ===========
    """

    name: Literal["ceflnet"] = "ceflnet"
    backbone: str = Field("resnet18", description="Of the frames: a timm model with global pooling.")
    weights: str = Field(
        "pretrained",
        description="Of the backbone: 'pretrained' (ImageNet; the paper does not say on what), 'random', or a path.",
    )
    input_size: int = Field(224, ge=16, description="Side of a face crop in pixels.")
    frames: int = Field(35, ge=1, description="Frames read of one clip: as many of each piece, so 5 of each of 7.")
    sub_videos: int = Field(7, ge=1, description="Pieces that a video is cut into.")
    sub_video_frames: int = Field(15, ge=1, description="Consecutive frames of one piece, of which some are read.")
    overlap: int = Field(5, ge=0, description="Frames that a piece shares with the next.")
    starts: int = Field(
        30, ge=1, description="The first piece begins at one of so many first frames; in their middle in evaluation."
    )
    self_attention: bool = Field(True, description="SAL, eq. 1: the frames of a piece look at each other.")
    residual: bool = Field(False, description="Add SAL's input to its output; the paper draws no such way round it.")
    relation: bool = Field(True, description="LRL, eq. 2 and 3: frames are weighted by their relation to the piece.")
    piece_pooling: Literal["mean", "max"] = Field(
        "mean", description="The pooling over the frames of a piece in eq. 2, which the paper leaves open."
    )
    emotional_activation: bool = Field(True, description="EIAN, eq. 4 to 8: pieces are weighted by their intensity.")
    activation_channels: tuple[int, ...] = Field(
        (256, 256), description="Widths of EIAN's hidden convolutions over the pieces: chosen for 12.83 M parameters."
    )
    activation_kernel: int = Field(3, ge=1, description="Pieces that one convolution of EIAN sees; odd.")
    maps: Literal["shared", "label"] = Field(
        "shared",
        description="One activation map a video, as eq. 8 and 9 need, or one for each label, as eq. 5 is written.",
    )
    recurrent: bool = Field(False, description="CNN-LSTM: an LSTM over all frames in place of SAL, LRL and EIAN.")
    hidden_size: int = Field(512, ge=1, description="Units of that LSTM.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Before the last layer; the paper names none.")
    complement: float = Field(
        0.0,
        ge=0,
        description="Weight of the second term of eq. 11, (1 - Y) log(1 - p), beside the cross-entropy; 1 is eq. 11 "
        "to the letter, 0 the plain cross-entropy.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.overlap >= self.sub_video_frames:
            raise ValueError(
                f"overlap {self.overlap} must be below sub_video_frames {self.sub_video_frames}, or no piece moves on"
            )
        if self.frames % self.sub_videos:
            raise ValueError(f"frames {self.frames} cannot be shared out evenly to {self.sub_videos} sub_videos")
        if self.sampled_frames > self.sub_video_frames:
            raise ValueError(
                f"frames {self.frames} asks for {self.sampled_frames} of each sub-video, but sub_video_frames is "
                f"{self.sub_video_frames}"
            )
        if self.activation_kernel % 2 == 0:
            raise ValueError(f"activation_kernel {self.activation_kernel} has no middle piece; use an odd one")
        if any(width < 1 for width in self.activation_channels):
            raise ValueError("activation_channels are widths of at least 1")
        if self.recurrent and (self.self_attention or self.relation or self.emotional_activation):
            raise ValueError(
                "recurrent takes the place of self_attention, relation and emotional_activation; set those to false"
            )
        return self

    @property
    def sampled_frames(self) -> int:
        """Frames read of each piece: drawn in training, evenly spread in evaluation."""
        return self.frames // self.sub_videos

    @property
    def window(self) -> int:
        """Consecutive frames that the pieces cover together: 75 in the paper."""
        return (self.sub_videos - 1) * (self.sub_video_frames - self.overlap) + self.sub_video_frames
