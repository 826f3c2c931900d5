// What the allocators of devices hold, and giving back what they only keep. `tch` has neither. The headers are LibTorch's own
// and the C library's, and name no CUDA, so this compiles and links without it.

#include <c10/core/CachingDeviceAllocator.h>
#include <malloc.h>

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

// Whether tensors of 256 KiB and more are mapped, each for itself, or all up to 32 MiB, which is the most that can be set, lie in
// a heap that keeps 64 MiB for the next ones. Thresholds that are set no longer change by themselves.
void polyphony_map_tensors(bool each) noexcept {
  mallopt(M_MMAP_THRESHOLD, each ? 256 << 10 : 32 << 20);
  mallopt(M_TRIM_THRESHOLD, each ? 128 << 10 : 64 << 20);
}

// Gives back to the system what the heap keeps and does not use.
void polyphony_trim_heap() noexcept { malloc_trim(0); }
}
