"""The layouts of data sets that are read: those of COCO, Pascal VOC, YOLO, CVAT and FiftyOne."""
