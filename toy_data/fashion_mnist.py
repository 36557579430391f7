"""Fashion-MNIST: articles of clothing."""

from toy_data.idx import Source
from toy_data.images import Images

SOURCE = Source(
    folder="FashionMNIST/raw",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    md5={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)


def fashion_mnist(split: str = "train") -> Images:
    """Return gray 28x28 clothes in 10 classes: 60,000 for "train", 10,000 for "test".

    The files lie in `FashionMNIST/raw` of the folder that the variable EBM_DATA names, by
    default the user's cache; missing ones are downloaded.

    Reference: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for
    benchmarking machine learning algorithms", 2017, arXiv:1708.07747.

    Raises:
        ValueError: The split is unknown, or a file is truncated, garbled or missing.
    """
    return SOURCE.load(split)
