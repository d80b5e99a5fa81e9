"""The layouts of data sets that are read.

They are those of COCO, Pascal VOC, YOLO, CVAT, FiftyOne and LabelMe, and CSV files.
"""
