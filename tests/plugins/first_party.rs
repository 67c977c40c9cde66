//! The plugins that leadgate links in, as one library: the same code on the road of every other
//! plugin. Under other names, because theirs belong to what is built in.

use leadgate_plugin::export_sink;

export_sink!(leadgate_plugin_lib_amqp, leadgate_sink_amqp::AmqpSink);
export_sink!(leadgate_plugin_lib_email, leadgate_sink_email::EmailSink);
export_sink!(leadgate_plugin_lib_file, leadgate_sink_file::FileSink);
export_sink!(leadgate_plugin_lib_http, leadgate_sink_http::HttpSink);
export_sink!(leadgate_plugin_lib_kafka, leadgate_sink_kafka::KafkaSink);
export_sink!(leadgate_plugin_lib_nats, leadgate_sink_nats::NatsSink);
export_sink!(leadgate_plugin_lib_sql, leadgate_sink_sql::SqlSink);
