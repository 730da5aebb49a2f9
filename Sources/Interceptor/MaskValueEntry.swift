// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

// The functions of warden_mask_value.h, which says what each does. Their names are C's.

@c @implementation
public func warden_mask_token(_ digest: WardenText, _ length: Int32, _ out: UnsafeMutablePointer<WardenBuffer>) {
  var writer = unsafe TextWriter(out)
  unsafe MaskHash.token(ByteView(digest), length: Int(length), to: &writer)
  unsafe writer.finish(out)
}

@c @implementation
public func warden_mask_uuid(_ digest: WardenText, _ out: UnsafeMutablePointer<WardenBuffer>) {
  var writer = unsafe TextWriter(out)
  unsafe MaskHash.uuid(ByteView(digest), to: &writer)
  unsafe writer.finish(out)
}

@c @implementation
public func warden_mask_integer(_ key: WardenText, _ value: Int64, _ width: Int32) -> Int64 {
  unsafe MaskHash.integer(value, width: width, KeyedNumbers(ByteView(key)))
}

@c @implementation
public func warden_mask_numeric(_ key: WardenText, _ value: WardenText, _ digits: Int32) -> Int64 {
  unsafe MaskHash.numeric(ByteView(value), digits: digits, KeyedNumbers(ByteView(key)))
}

@c @implementation
public func warden_mask_choice(_ key: WardenText, _ value: WardenText, _ count: Int32) -> Int32 {
  let drawn = unsafe KeyedNumbers(ByteView(key)).number(ByteView(value))
  return Int32(truncatingIfNeeded: KeyedNumbers.scale(drawn, to: UInt64(max(0, count))))
}

@c @implementation
public func warden_mask_noise(
  _ key: WardenText, _ value: Int64, _ percent: Int64, _ min: Int64, _ max: Int64
) -> Int64 {
  unsafe MaskNoise.noise(value, percent: percent, in: (min, max), KeyedNumbers(ByteView(key)))
}

@c @implementation
public func warden_mask_shift(_ key: WardenText, _ value: Int64, _ most: Int64, _ min: Int64, _ max: Int64) -> Int64 {
  unsafe MaskNoise.shift(
    value, most: UInt64(Swift.max(0, Swift.min(most, 1 &<< 62))), in: (min, max), KeyedNumbers(ByteView(key)))
}

@c @implementation
public func warden_mask_noise_decimal(
  _ key: WardenText, _ value: WardenText, _ percent: Int64, _ digits: Int32, _ out: UnsafeMutablePointer<WardenBuffer>
) {
  var writer = unsafe TextWriter(out)
  if let decimal = unsafe DecimalText(ByteView(value)) {
    let most = decimal.most(digits: Int(digits))
    let moved = unsafe MaskNoise.noise(
      decimal.mantissa, percent: percent, in: (0 &- most, most), KeyedNumbers(ByteView(key)))
    decimal.write(moved, to: &writer)
  } else {
    unsafe writer.append(TextView(value))
  }
  unsafe writer.finish(out)
}

@c @implementation
public func warden_mask_noise_float(_ key: WardenText, _ value: Double, _ percent: Int64, _ width: Int32) -> Double {
  unsafe MaskNoise.float(value, percent: percent, width: width, KeyedNumbers(ByteView(key)))
}

@c @implementation
public func warden_mask_round(_ value: Int64, _ step: Int64, _ min: Int64, _ max: Int64) -> Int64 {
  MaskRound.integer(value, step: step, in: (min, max))
}

@c @implementation
public func warden_mask_round_float(_ value: Double, _ step: Double, _ width: Int32) -> Double {
  MaskRound.float(value, step: step, width: width)
}

@c @implementation
public func warden_mask_begin_day(_ day: Int64, _ unit: WardenText, _ min: Int64) -> Int64 {
  unsafe MaskRound.day(day, ByteView(unit), min: min)
}

@c @implementation
public func warden_mask_begin_instant(_ microseconds: Int64, _ unit: WardenText, _ min: Int64) -> Int64 {
  unsafe MaskRound.instant(microseconds, ByteView(unit), min: min)
}

@c @implementation
public func warden_mask_network(
  _ address: WardenText, _ prefix: Int32, _ kept: Int32, _ out: UnsafeMutablePointer<WardenBuffer>
) -> Int32 {
  var writer = unsafe TextWriter(out)
  let length = unsafe MaskNetwork.network(ByteView(address), prefix: prefix, kept: kept, to: &writer)
  unsafe writer.finish(out)
  return length
}

@c @implementation
public func warden_mask_last4(
  _ value: WardenText, _ encoding: WardenEncoding, _ out: UnsafeMutablePointer<WardenBuffer>
) {
  var writer = unsafe TextWriter(out)
  unsafe MaskLast4.last4(TextView(value), encoding: encoding, to: &writer)
  unsafe writer.finish(out)
}
