"""The small networks and the pictures they are trained on."""
