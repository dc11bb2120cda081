"""Which pretrained model, which learning rate: the room for ranking and search."""
