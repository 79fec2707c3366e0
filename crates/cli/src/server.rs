//! stub
use anyhow::Result;
use sojourn_ports::Clock;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct Options;
pub(crate) fn demo_options(_port: u16, _clock: Arc<dyn Clock>) -> Options {
    Options
}
pub(crate) struct Server;
impl Server {
    pub(crate) fn start(_dir: &Path, _options: Options) -> Result<Self> {
        anyhow::bail!("not yet")
    }
    pub(crate) fn gateway_url(&self) -> String {
        String::new()
    }
    pub(crate) fn admin_address(&self) -> String {
        String::new()
    }
    pub(crate) fn stop(self) -> Result<()> {
        Ok(())
    }
}
pub(crate) fn stop_on_ctrl_c() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    flag.store(false, Ordering::Relaxed);
    flag
}
