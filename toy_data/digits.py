"""The 8x8 handwritten digits that ship inside scikit-learn."""

import numpy as np
import torch

from toy_data import checks
from toy_data.images import Images

_TRAIN = 1437  # four fifths; the last pictures are the test set, in the file's order


def digits(split: str = "all") -> Images:
    """Return 1,797 gray 8x8 digits in 10 classes, without a download.

    Train is the first 1,437 pictures, test the last 360.

    >>> import toy_data
    >>> toy_data.digits().images.shape
    torch.Size([1797, 1, 8, 8])

    Reference: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI
    Machine Learning Repository, 1998 (its test set).

    Raises:
        ValueError: The split is not "train", "test" or "all".
    """
    from sklearn.datasets import load_digits

    part = {"train": slice(0, _TRAIN), "test": slice(_TRAIN, None), "all": slice(None)}
    rows = part[checks.split(split)]
    found = load_digits(return_X_y=True)
    images = torch.from_numpy(np.asarray(found[0], dtype=np.float32) / 16)
    labels = torch.from_numpy(np.asarray(found[1], dtype=np.int64))
    return Images(images.reshape(-1, 1, 8, 8)[rows], labels[rows])
