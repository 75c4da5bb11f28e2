"""Train the classifier that ships as ``balance_graph/data/digits.npz`` (``balance_graph.networks.digits``).

A 64-32-16-10 ReLU network on scikit-learn's copy of the UCI *Optical Recognition of Handwritten Digits* images
(E. Alpaydin and C. Kaynak, 1998, CC BY 4.0): 8 x 8 pixels from 0 to 16, here divided by 16. Run it from anywhere:
``python benchmarks/make_digits.py``. It refuses to write a network whose test accuracy is 95 % or less.
"""

from __future__ import annotations

import platform
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

# Of the seeds 0 to 15, one with few units silent on every test image; so the test accuracy is not blind to the choice.
SEED = 15
EPOCHS = 200
TARGET = Path(__file__).parents[1] / "balance_graph" / "data" / "digits.npz"


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16.0, labels, test_size=0.25, stratify=labels, random_state=SEED)
    train_images, test_images, train_labels, test_labels = split
    # No weight decay: with Adam it drives the weights of the nine constant pixels to 1e-56, an artefact, not a network.
    mlp = MLPClassifier((32, 16), activation="relu", alpha=0.0, max_iter=EPOCHS, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # EPOCHS is the stopping rule
        mlp.fit(train_images, train_labels)
    accuracy = mlp.score(test_images, test_labels)
    print(f"test accuracy {accuracy:.4f} on {len(test_labels)} images, {mlp.n_iter_} epochs, loss {mlp.loss_:.2e}")
    if accuracy <= 0.95:
        message = f"test accuracy {accuracy:.4f} is not above 0.95: nothing written"
        raise SystemExit(message)
    layers = {f"weights{k}": np.asarray(w, dtype=np.float64) for k, w in enumerate(mlp.coefs_)}
    layers |= {f"biases{k}": np.asarray(b, dtype=np.float64) for k, b in enumerate(mlp.intercepts_)}
    versions = [f"python {platform.python_version()}", f"numpy {np.__version__}", f"scikit-learn {sklearn.__version__}"]
    np.savez_compressed(
        TARGET,
        **layers,
        images=test_images[:100].astype(np.float64),
        labels=test_labels[:100].astype(np.int64),
        test_accuracy=np.float64(accuracy),
        seed=np.int64(SEED),
        versions=np.array(versions),
    )
    print(f"wrote {TARGET.name}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
