"""The parts of the rendered store: what stands on its shelves, who comes by, how both are drawn.

scene puts them together as a world with a truth, renderer draws that world.
Lengths are centimetres: x to the right along the shelf, y up from the shop's floor, z from the
shelf's front edge towards the customer. Colours are BGR, 0 to 255.
"""
