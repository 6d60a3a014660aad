"""The registration engine: numpy and OpenCV only; it knows of no web framework and no queue."""

ENGINE_VERSION = "0.4"
