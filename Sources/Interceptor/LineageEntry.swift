// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

// The functions of warden_lineage.h, which says what each does. Their names are C's.

@c @implementation
public func warden_flow_through(_ flow: WardenFlow, _ passage: WardenPassage) -> WardenFlow {
  Lineage.through(flow, passage)
}

@c @implementation
public func warden_flow_from(_ flow: WardenFlow, _ boolean: Bool) -> WardenFlow {
  Lineage.from(flow, isBoolean: boolean)
}

@c @implementation
public func warden_derived_mask(_ sources: UnsafePointer<WardenDerivedSource>?, _ count: Int64) -> Int64 {
  let views = unsafe Lent(sources, count: count).map { source in
    unsafe DerivedMask.Source(
      flow: source.flow, method: TextView(source.method), options: TextView(source.options))
  }
  switch DerivedMask(of: views) {
  case .none: return Int64(WARDEN_DERIVED_NOTHING)
  case .redact: return Int64(WARDEN_DERIVED_REDACT)
  case .ofSource(let index): return Int64(index)
  }
}
