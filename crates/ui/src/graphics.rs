//! What draws the window: the platform's own graphics, and OpenGL only where those will not do.
//!
//! eframe opens every backend to choose among their adapters. Opening OpenGL beside Vulkan costs a
//! start a tenth of its processor time and of the window's memory, for an adapter that is not taken.

use eframe::{
    egui_wgpu::{WgpuConfiguration, WgpuSetupCreateNew},
    wgpu::{Adapter, Backends, DeviceType, PowerPreference, Surface},
};
use std::{path::Path, sync::Arc};

/// Vulkan, Metal or Direct3D alone; it fails where they have no adapter worth drawing with, and
/// eframe's own choice is next. `None` where the operator's environment chooses.
pub fn native() -> Option<WgpuConfiguration> {
    if Backends::from_env().is_some() || PowerPreference::from_env().is_some() {
        return None;
    }
    let mut setup = WgpuSetupCreateNew::without_display_handle();
    setup.instance_descriptor.backends = Backends::PRIMARY;
    setup.native_adapter_selector = Some(Arc::new(choose));
    Some(WgpuConfiguration { wgpu_setup: setup.into(), ..Default::default() })
}

/// The fastest adapter that can show its picture in the window.
fn choose(adapters: &[Adapter], window: Option<&Surface<'_>>) -> Result<Adapter, String> {
    let shows = |adapter: &&Adapter| window.is_none_or(|at| adapter.is_surface_supported(at));
    let kind = |adapter: &Adapter| adapter.get_info().device_type;
    let best = adapters.iter().filter(shows).min_by_key(|adapter| rank(kind(adapter)));
    let best = best.ok_or("no graphics adapter can show a window")?;
    if kind(best) == DeviceType::Cpu && has_card() {
        return Err("the graphics card has no driver for this".to_owned());
    }
    Ok(best.clone())
}

fn rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::Other => 2,
        DeviceType::VirtualGpu => 3,
        DeviceType::Cpu => 4,
    }
}

/// Whether Linux shows a card that can draw, which OpenGL may have a driver for where Vulkan has
/// only its software rasterizer.
fn has_card() -> bool {
    let entries = Path::new("/dev/dri").read_dir().into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("renderD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_comes_before_the_processor() {
        use DeviceType::*;
        let mut kinds = [Cpu, VirtualGpu, Other, IntegratedGpu, DiscreteGpu];
        kinds.sort_by_key(|kind| rank(*kind));
        assert_eq!(kinds, [DiscreteGpu, IntegratedGpu, Other, VirtualGpu, Cpu]);
    }

    #[test]
    fn without_an_adapter_the_next_choice_gets_its_turn() {
        assert!(choose(&[], None).is_err());
    }
}
