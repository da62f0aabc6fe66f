"""The registry: every set of weights the toolkit knows by name, with origin, licence, checksum and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

Channels = tuple[float, float, float]
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights, by the name that configs, messages and ``eri doctor`` use.

    ``mean`` and ``std`` normalise each input channel, on the scale that ``origin`` implies ([0, 1] RGB unless it says
    else).
    """

    name: str
    file_name: str  # in every folder; the folder's name where the weights are a folder
    origin: str  # who made the weights, from what, in words
    licence: str
    url: str | None = None  # None where there is no official direct download
    hub_id: str | None = None
    hub_file: str | None = None  # None with a hub_id means the whole model folder
    sha256: str | None = None  # all 64 hex digits, or the prefix that its publisher put into the file name
    mean: Channels | None = None
    std: Channels | None = None
    timm_name: str | None = None  # architecture and tag, for backbones

    @property
    def is_folder(self) -> bool:
        """True where the weights are a folder of the Hugging Face hub, not one file."""
        return self.hub_id is not None and self.hub_file is None


def _torchvision(name: str, sha256: str) -> WeightsEntry:
    file_name = f"{name}-{sha256[:8]}.pth"
    return WeightsEntry(
        name=name,
        file_name=file_name,
        origin="torchvision, IMAGENET1K_V1, trained on ImageNet-1k",
        licence="BSD-3-Clause; ImageNet's own terms are for non-commercial research",
        url=f"https://download.pytorch.org/models/{file_name}",
        hub_id=f"timm/{name}.tv_in1k",
        hub_file="model.safetensors",
        sha256=sha256,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        timm_name=f"{name}.tv_in1k",
    )


_ENTRIES = (
    _torchvision("resnet50", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
    _torchvision("vgg16", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    _torchvision("densenet121", "a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395"),
    _torchvision("resnet18", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
    WeightsEntry(
        name="resnet50-vggface2",
        file_name="resnet50_ft_weight.pkl",
        # A converted state dict, such as resnet50_ft_dims_2048.pth, is given by its path instead.
        origin="VGGFace2, trained on MS-Celeb-1M and fine-tuned on VGGFace2, as a pickle of arrays by cydonia999 "
        "(VGGFace2-pytorch); each channel loses its mean over the training set and is not scaled; no direct download",
        licence="VGGFace2's terms: CC BY-SA 4.0; its images were for non-commercial research",
        mean=(131.0912 / 255, 103.8827 / 255, 91.4953 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
    ),
    WeightsEntry(
        name="r2plus1d-18",
        file_name="r2plus1d_18-91a641e6.pth",
        origin="torchvision, KINETICS400_V1, trained on Kinetics-400; 16 frames of RGB",
        licence="BSD-3-Clause; Kinetics-400's annotations are CC BY 4.0, its videos their owners'",
        url="https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth",
        sha256="91a641e6",
        mean=(0.43216, 0.394666, 0.37645),
        std=(0.22803, 0.22145, 0.216989),
    ),
    WeightsEntry(
        name="retinaface-resnet50",
        file_name="retinaface_resnet50_2020-07-20-f168fae3c.zip",
        # The digits in the file name are not stated to be a SHA-256 of the archive, so they are no pin.
        origin="ternaus/retinaface release 0.01, trained on WIDER FACE",
        licence="MIT; WIDER FACE's own terms are for non-commercial research",
        url="https://github.com/ternaus/retinaface/releases/download/0.01/retinaface_resnet50_2020-07-20-f168fae3c.zip",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    WeightsEntry(
        name="retinaface-mobilenet0.25",
        file_name="retinaface_mobilenet0.25.pth",
        origin="biubug6/Pytorch_Retinaface, trained on WIDER FACE; BGR on [0, 255], mean subtracted, not divided; "
        "its authors offer no direct download",
        licence="MIT; WIDER FACE's own terms are for non-commercial research",
        sha256="38ec7bb3c9cbfe2f40edabc05fab970a6d648747cbc534092be85d5eb9b37ed0",
        mean=(104.0, 117.0, 123.0),
        std=(1.0, 1.0, 1.0),
    ),
    WeightsEntry(
        name="wav2vec2-base",
        file_name="wav2vec2-base",
        origin="facebook/wav2vec2-base on the Hugging Face hub, self-supervised on LibriSpeech 960 h; mono at 16 kHz, "
        "each waveform brought to zero mean and unit deviation",
        licence="Apache-2.0",
        hub_id="facebook/wav2vec2-base",
    ),
    WeightsEntry(
        name="hubert-base",
        file_name="hubert-base-ls960",
        origin="facebook/hubert-base-ls960 on the Hugging Face hub, self-supervised on LibriSpeech 960 h; mono at "
        "16 kHz, each waveform brought to zero mean and unit deviation",
        licence="Apache-2.0",
        hub_id="facebook/hubert-base-ls960",
    ),
    WeightsEntry(
        name="wavlm-base-plus",
        file_name="wavlm-base-plus",
        origin="microsoft/wavlm-base-plus on the Hugging Face hub, self-supervised on 94,000 h of Libri-Light, "
        "GigaSpeech and VoxPopuli; mono at 16 kHz",
        licence="stated by its authors in the repository microsoft/UniSpeech; torchaudio passes the model on as MIT",
        hub_id="microsoft/wavlm-base-plus",
    ),
)

WEIGHTS: MappingProxyType[str, WeightsEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""The registered weights by name. Checksums of torchvision's files begin with the prefix that their names publish."""
