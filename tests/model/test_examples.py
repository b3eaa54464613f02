"""Examples are TensorFlow's own, written and read without it."""

import tensorflow as tf

from model.examples import Example

EXAMPLE = Example("a-1", b"image", b"mask", "dark-grey", "plate 3")


def test_it_is_a_tf_train_example_to_the_byte():
    theirs = tf.train.Example()
    for key, value in {
        "image/id": b"a-1", "image/encoded": b"image", "mask/encoded": b"mask",
        "image/slice": b"dark-grey", "image/group": b"plate 3",
    }.items():  # fmt: skip
        theirs.features.feature[key].bytes_list.value.append(value)
    assert EXAMPLE.serialize() == theirs.SerializeToString(deterministic=True)
    assert Example.parse(EXAMPLE.serialize()) == EXAMPLE
