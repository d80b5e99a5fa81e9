"""The layouts of data sets that are read: COCO's and Pascal VOC's."""
