"""What leaves the project: releases, and the labels of kernels of one's own."""
