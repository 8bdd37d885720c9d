"""The recipe of `examples/netflow`: an exporter, goflow2, and ktrans give the flows of the packets."""

import datetime as dt
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command import ktrans
from tests.integration.captures import AGENT, ICMP, TCP, UDP, capture, frame, sflow
from tests.services.goflow2 import Goflow2

RECIPE = Path(__file__).parents[2] / "examples/netflow"
FLOW = ("src_addr", "dst_addr", "protocol", "src_port", "dst_port")
SYN, ACK = 2, 16
PACKETS = [
    # milliseconds, source, destination, protocol, ports, bytes, flags
    (0, "10.0.0.5", "192.0.2.9", TCP, (40000, 443), 100, SYN),
    (250, "10.0.0.5", "192.0.2.9", TCP, (40000, 443), 1400, ACK),
    (500, "10.0.0.5", "192.0.2.9", TCP, (40000, 443), 60, ACK),
    (100, "192.0.2.9", "10.0.0.5", TCP, (443, 40000), 60, SYN | ACK),
    (600, "192.0.2.9", "10.0.0.5", TCP, (443, 40000), 1500, ACK),
    (300, "10.0.0.6", "192.0.2.53", UDP, (5353, 53), 80, 0),
    (400, "10.0.0.6", "192.0.2.53", ICMP, (8, 0), 84, 0),
    (700, "2001:db8::1", "2001:db8::2", UDP, (1000, 53), 90, 0),
    (800, "2001:db8::3", "2001:db8::4", TCP, (999, 80), 72, SYN),
]
"""Of seven flows, two of them with IPv6 addresses."""


@pytest.fixture
def began():
    """The time of the first packet: an hour ago, since uptimes of NetFlow are of 32 bits."""
    return dt.datetime.now(dt.UTC).replace(microsecond=123_000) - dt.timedelta(hours=1)


def flows(version):
    """Return packets, bytes, and first and last millisecond of each flow.

    softflowd has one time for both directions of a connection.
    """
    counted, times = {}, {}
    for at, src, dst, protocol, ports, size, _ in PACKETS:
        if version == "5" and ":" in src:
            continue
        flow = (src, dst, protocol, *((None, None) if protocol == ICMP else ports))
        packets, octets, _ = counted.get(flow, (0, 0, None))
        connection = (protocol, *sorted((src, dst)))
        counted[flow] = (packets + 1, octets + size, connection)
        times.setdefault(connection, []).append(at)
    return {
        flow: (packets, octets, min(times[connection]), max(times[connection]))
        for flow, (packets, octets, connection) in counted.items()
    }


def eventually(holds):
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def arrived(collector, count):
    """Wait until goflow2 has written so many records."""
    eventually(
        lambda: collector.file.exists() and collector.file.read_bytes().count(b"\n") >= count
    )


def rows(collector, folder):
    """Run the recipe over what goflow2 wrote; return the rows of the lake."""
    shutil.copy(RECIPE / "pipeline.yaml", folder)
    shutil.copy(collector.file, folder / "flows-1.json")
    done = ktrans("run", folder / "pipeline.yaml")
    assert done.returncode == 0, done.stderr
    return pq.read_table(folder / "out/lake").to_pylist()


@pytest.mark.parametrize(("version", "kind"), [("5", "NETFLOW_V5"), ("10", "IPFIX")])
def test_the_flows_of_an_exporter_arrive_as_its_packets_were(
    softflowd, goflow2, tmp_path, began, version, kind
):
    start = int(began.timestamp() * 1000)
    packets = [
        ((start + at) * 1000, frame(src, dst, protocol, ports, size, flags))
        for at, src, dst, protocol, ports, size, flags in PACKETS
    ]
    capture(tmp_path / "packets.pcap", packets)
    subprocess.run(
        [
            *(softflowd, "-r", tmp_path / "packets.pcap", "-n", f"127.0.0.1:{goflow2.netflow}"),
            *("-v", version, "-A", "milli", "-d", "-c", "none"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    expected = flows(version)
    arrived(goflow2, len(expected))
    found = rows(goflow2, tmp_path)
    keys = [tuple(row[name] for name in FLOW) for row in found]
    assert Counter(keys) == Counter(list(expected))
    for key, row in zip(keys, found, strict=True):
        count, octets, first, last = expected[key]
        assert (row["packets"], row["bytes"]) == (count, octets)
        for name, at in (("start_time", first), ("end_time", last)):
            off = row[name] - (began + dt.timedelta(milliseconds=at))
            assert abs(off) <= dt.timedelta(milliseconds=1), name
        assert row["instance_id"] == "127.0.0.1"
        attrs = dict(row["attrs"])
        assert attrs.pop("type") == kind
        if row["protocol"] == ICMP:
            icmp = {name: attrs.pop(name, None) for name in ("dst_port", "icmp_type", "icmp_code")}
            assert icmp in (
                {"dst_port": str(8 * 256), "icmp_type": None, "icmp_code": None},
                {"dst_port": None, "icmp_type": "8", "icmp_code": "0"},
            )
        assert set(attrs) <= {"sequence_num", "sampling_rate"}


def sample(collector):
    """Send a sample of sFlow of one packet, and return its frame."""
    _, *packet = PACKETS[7]
    data = frame(*packet)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.sendto(sflow(data, rate=1000, came_by=3, left_by=4), ("127.0.0.1", collector.sflow))
    return data


def test_sampled_frames_of_sflow_arrive(goflow2, tmp_path):
    _, src, dst, protocol, ports, *_ = PACKETS[7]
    data = sample(goflow2)
    arrived(goflow2, 1)
    [row] = rows(goflow2, tmp_path)
    assert (row["src_addr"], row["dst_addr"], row["protocol"]) == (src, dst, protocol)
    assert ((row["src_port"], row["dst_port"]), row["ip_version"]) == (ports, 6)
    assert (row["packets"], row["bytes"]) == (1, len(data))
    assert (row["interface_id"], row["instance_id"]) == ("3", AGENT)
    attrs = dict(row["attrs"])
    assert (attrs["type"], attrs["sampling_rate"], attrs["out_if"]) == ("SFLOW_5", "1000", "4")
    assert attrs["src_mac"] == "00:00:5e:00:53:02"
    assert not {"src_as", "next_hop", "as_path"} & set(attrs)


@pytest.mark.service("goflow2")
def test_samples_arrive_through_kafka(kafka_broker, tmp_path):
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = "netflow-samples"
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)
    broker = ("-transport.kafka.brokers", kafka_broker.bootstrap, "-transport.kafka.topic", topic)
    collector = Goflow2("-transport", "kafka", *broker, "-transport.kafka.flushfreq", "100ms")
    try:
        data = sample(collector)
        reader = Consumer({"bootstrap.servers": kafka_broker.bootstrap, "group.id": topic})
        eventually(lambda: reader.get_watermark_offsets(TopicPartition(topic, 0), 10)[1] >= 1)
        reader.close()
    finally:
        collector.close()
    [recipe] = re.findall(r"```yaml\n(.*?)```", (RECIPE / "README.md").read_text(), re.DOTALL)
    recipe = recipe.replace("kafka:9092", kafka_broker.bootstrap).replace("[flows]", f"[{topic}]")
    (tmp_path / "netflow.yaml").write_text(recipe)
    done = ktrans("run", tmp_path / "netflow.yaml")
    assert done.returncode == 0, done.stderr
    [row] = pq.read_table(tmp_path / "lake").to_pylist()
    assert (row["packets"], row["bytes"], row["interface_id"]) == (1, len(data), "3")
