"""The small networks trained here, and the images that they are trained on."""
