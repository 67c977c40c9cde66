//! The plugins that leadgate can link in, as one library: the same code on the road of every
//! other plugin.

pub use leadgate_sink_amqp as amqp;
pub use leadgate_sink_email as email;
pub use leadgate_sink_file as file;
pub use leadgate_sink_http as http;
pub use leadgate_sink_kafka as kafka;
pub use leadgate_sink_nats as nats;
pub use leadgate_sink_sql as sql;
