//! The reference: an actix-web handler that only reads the body and answers success.

use actix_web::{App, HttpResponse, HttpServer, web};

/// Serves on a free port, printed as the first line of stdout, until it is killed.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let server = HttpServer::new(|| App::new().default_service(web::to(answer)))
            .workers(std::thread::available_parallelism()?.get())
            .disable_signals()
            .bind(("127.0.0.1", 0))?;
        println!("{}", server.addrs()[0]);
        server.run().await?;
        Ok(())
    })
}

async fn answer(body: web::Bytes) -> HttpResponse {
    std::hint::black_box(&body);
    HttpResponse::Ok()
        .content_type("application/json;charset=UTF-8")
        .body(leadgate::source::tmall::SUCCESS)
}
