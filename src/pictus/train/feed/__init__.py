"""What a network is shown: pictures in order, cropped and coloured, the same on every machine."""
