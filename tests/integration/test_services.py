"""Every real server of the test suite comes up and does what the tests rely on."""

import time
import uuid

import pytest


@pytest.fixture
def name():
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.mark.service("s3")
def test_s3_keeps_objects_and_preconditions(s3_server, name):
    s3 = s3_server.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"one", IfNoneMatch="*")
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=name, Key="a", Body=b"two", IfNoneMatch="*")
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"one"
    assert s3_server.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    assert s3_server.client("sts").get_caller_identity()["Account"]


@pytest.mark.service("azurite")
def test_azurite_keeps_blobs_and_queues(azurite, name):
    blobs = pytest.importorskip("azure.storage.blob")
    queues = pytest.importorskip("azure.storage.queue")
    with blobs.BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        container = service.create_container(name)
        container.upload_blob("a", b"one")
        assert container.download_blob("a").readall() == b"one"
    with queues.QueueClient.from_connection_string(azurite.connection_string, name) as queue:
        queue.create_queue()
        queue.send_message("hello")
        assert queue.receive_message().content == "hello"


@pytest.mark.service("gcs")
def test_gcs_keeps_objects_and_preconditions_and_pages(gcs_server, name):
    client = gcs_server.client()
    bucket = client.create_bucket(name)
    for key in "abcde":
        bucket.blob(key).upload_from_string(key, if_generation_match=0)
    exceptions = pytest.importorskip("google.api_core.exceptions")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("a").upload_from_string("again", if_generation_match=0)
    assert bucket.blob("a").download_as_bytes() == b"a"
    pages = [[blob.name for blob in page] for page in bucket.list_blobs(page_size=2).pages]
    assert [name for page in pages for name in page] == list("abcde")
    client.close()


@pytest.mark.service("pubsub")
def test_pubsub_delivers_and_delivers_again(pubsub_server, name, monkeypatch):
    pubsub = pytest.importorskip("google.cloud.pubsub_v1")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_server.host)
    with pubsub.SubscriberClient() as subscriber:
        publisher = pubsub.PublisherClient()
        topic = publisher.topic_path(pubsub_server.project, name)
        subscription = subscriber.subscription_path(pubsub_server.project, name)
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=subscription, topic=topic)
        publisher.publish(topic, b"hello", kind="x").result(60)
        first = subscriber.pull(subscription=subscription, max_messages=5).received_messages[0]
        subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=[first.ack_id], ack_deadline_seconds=0
        )
        again = subscriber.pull(subscription=subscription, max_messages=5).received_messages[0]
        assert (again.message.data, dict(again.message.attributes)) == (b"hello", {"kind": "x"})
        publisher.stop()
        publisher.transport.close()


@pytest.mark.service("kafka")
@pytest.mark.parametrize("login", [None, "SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_kafka_keeps_records_of_transactions(kafka_broker, name, login):
    kafka = pytest.importorskip("confluent_kafka")
    admin = pytest.importorskip("confluent_kafka.admin")
    settings = {"bootstrap.servers": kafka_broker.bootstrap}
    if login:
        settings = {
            "bootstrap.servers": kafka_broker.sasl_bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": login,
            "sasl.username": kafka_broker.user,
            "sasl.password": kafka_broker.password,
        }
    client = admin.AdminClient(settings)
    client.create_topics([admin.NewTopic(name, 1, 1)])[name].result(60)
    producer = kafka.Producer({**settings, "transactional.id": name})
    producer.init_transactions(60)
    for value, commit in ((b"kept", True), (b"undone", False), (b"kept too", True)):
        producer.begin_transaction()
        producer.produce(name, value)
        producer.flush(60)
        (producer.commit_transaction if commit else producer.abort_transaction)(60)
    consumer = kafka.Consumer({**settings, "group.id": name, "auto.offset.reset": "earliest"})
    consumer.subscribe([name])
    values, deadline = [], time.monotonic() + 60
    while len(values) < 2 and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and not message.error():
            values.append(message.value())
    consumer.close()
    assert values == [b"kept", b"kept too"]


@pytest.mark.service("kafka")
def test_kafka_keeps_its_data_over_a_restart(kafka_broker, name):
    admin = pytest.importorskip("confluent_kafka.admin")
    settings = {"bootstrap.servers": kafka_broker.bootstrap}
    client = admin.AdminClient(settings)
    client.create_topics([admin.NewTopic(name, 3, 1)])[name].result(60)
    kafka_broker.kill()
    kafka_broker.start()
    topics = client.list_topics(timeout=60).topics
    assert len(topics[name].partitions) == 3


@pytest.mark.service("kafka_mock")
def test_kafka_mock_fails_on_demand(kafka_mock, name):
    kafka = pytest.importorskip("confluent_kafka")
    kafka_mock.create_topic(name)
    errors = []
    producer = kafka.Producer({"bootstrap.servers": kafka_mock.bootstrap})
    kafka_mock.fail_requests(0, [kafka.KafkaError.MSG_SIZE_TOO_LARGE])
    for _ in range(2):
        producer.produce(name, b"x", on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(60) == 0
    assert [error and error.code() for error in errors] == [
        kafka.KafkaError.MSG_SIZE_TOO_LARGE,
        None,
    ]


@pytest.mark.service("influx")
def test_influx_keeps_points_and_refuses_broken_lines(influx_server, name):
    influxdb_client = pytest.importorskip("influxdb_client")
    api = pytest.importorskip("influxdb_client.client.write_api")
    with influxdb_client.InfluxDBClient(influx_server.url, token="t", org="o") as client:
        writer = client.write_api(write_options=api.SYNCHRONOUS)
        lines = [f"{name},a=x f=1i 1700000000000000000", f"{name},a=y f=2i,g=3 1700000001000000000"]
        writer.write("bucket", "o", lines)
        writer.write("bucket", "o", lines)
        with pytest.raises(influxdb_client.rest.ApiException) as caught:
            writer.write("bucket", "o", "this is no line")
    assert caught.value.status == 400
    points = influx_server.export(name)
    assert sorted(time for _, time, _ in points["f"]) == [1_700_000_000_000, 1_700_000_001_000]
    assert [(tags["a"], value) for tags, _, value in points["g"]] == [("y", 3)]


@pytest.mark.service("influx1")
def test_influx1_keeps_points(influx1_server, name):
    influx1_server.create(name)
    assert influx1_server.query(name, "SELECT * FROM nothing") == []
