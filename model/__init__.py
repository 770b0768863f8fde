"""The captioner: pure PyTorch. Knows no database, web or queue; gets decoded uint8 RGB arrays."""
