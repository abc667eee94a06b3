"""Writes testdata/keras: models as Keras 3 writes them, which the scan has to call clean.

Made with Keras 3.15.1: KERAS_BACKEND=torch python make_keras.py
"""

import pathlib

import keras

here = pathlib.Path(__file__).parent / "keras"
here.mkdir(exist_ok=True)
model = keras.Sequential([
    keras.Input((4,)),
    keras.layers.Dense(3, activation="relu"),
    keras.layers.BatchNormalization(),
    keras.layers.Dropout(0.1),
    keras.layers.Dense(2),
])
model.compile(optimizer="adam", loss="mse")
model.save(here / "seq.keras")
image = keras.Input((8, 8, 3))
x = keras.layers.Conv2D(2, 3, kernel_regularizer="l2")(image)
x = keras.layers.Rescaling(1 / 255.0)(x)
x = keras.layers.GlobalAveragePooling2D()(x)
keras.Model(image, keras.ops.add(x, 1.0)).save(here / "fun.keras")
