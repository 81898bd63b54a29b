"""Networks: plain nn.Modules with plain arguments, for any image size that their strides can make."""
