"""The stage around the robot: table, cameras and rendering."""
