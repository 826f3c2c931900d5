// What a device's allocator holds, and giving back what it only keeps. `tch` has neither. The headers are LibTorch's own and
// name no CUDA, so this compiles and links without it.

#include <c10/core/CachingDeviceAllocator.h>

#include <cstdint>

namespace {
c10::DeviceAllocator* allocator() noexcept {
  try {
    return dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::DeviceType::CUDA));
  } catch (...) {
    return nullptr;
  }
}
}  // namespace

extern "C" {

// Bytes that are reserved now and were at most since the last reset. False when there is no such allocator.
bool polyphony_device_memory(int8_t device, int64_t* now, int64_t* peak) noexcept {
  auto* own = allocator();
  if (own == nullptr || !own->initialized()) return false;
  try {
    const auto stats = own->getDeviceStats(device);
    const auto& reserved = stats.reserved_bytes[0];
    *now = reserved.current;
    *peak = reserved.peak;
    return true;
  } catch (...) {
    return false;
  }
}

// Bytes of the whole device that are free, and that there are. False when there is no such allocator.
bool polyphony_device_size(int8_t device, uint64_t* free, uint64_t* total) noexcept {
  auto* own = allocator();
  if (own == nullptr || !own->initialized()) return false;
  try {
    const auto [left, all] = own->getMemoryInfo(device);
    *free = left;
    *total = all;
    return true;
  } catch (...) {
    return false;
  }
}

// Counts the peak from now.
void polyphony_reset_peak(int8_t device) noexcept {
  auto* own = allocator();
  if (own == nullptr || !own->initialized()) return;
  try {
    own->resetPeakStats(device);
  } catch (...) {
  }
}

// Gives back to the device what is reserved and not used.
void polyphony_empty_cache() noexcept {
  auto* own = allocator();
  if (own == nullptr || !own->initialized()) return;
  try {
    own->emptyCache();
  } catch (...) {
  }
}
}
