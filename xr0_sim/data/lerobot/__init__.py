"""LeRobotDataset v3.0 on disk: layout, features, statistics and tables, without `lerobot`."""
