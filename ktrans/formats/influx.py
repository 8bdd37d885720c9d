"""InfluxDB line protocol. The plugin ktrans-influxdb uses it too, so it is in the kit."""

from ktrans.kit.rows.influx import InfluxFormat, InfluxFormatConfig

__all__ = ["InfluxFormat", "InfluxFormatConfig"]
