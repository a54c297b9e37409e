"""The drawing of graphs. Its modules import matplotlib and graphlay; `report.pictures` is the way in."""
