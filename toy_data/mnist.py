"""MNIST: handwritten digits."""

from toy_data.idx import Source
from toy_data.images import Images

SOURCE = Source(
    folder="MNIST/raw",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    md5={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)


def mnist(split: str = "train") -> Images:
    """Return gray 28x28 digits in 10 classes: 60,000 for "train", 10,000 for "test".

    The files lie in `MNIST/raw` of the folder that the variable EBM_DATA names, by default
    the user's cache; missing ones are downloaded.

    Reference: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning
    applied to document recognition", Proceedings of the IEEE, 1998.

    Raises:
        ValueError: The split is unknown, or a file is truncated, garbled or missing.
    """
    return SOURCE.load(split)
