// libFuzzer's entry; built by ci/fuzz.sh together with the core and the cases, in one module.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  if let complaint = runFuzzCase(UnsafeBufferPointer(start: start, count: count)) { fatalError(complaint) }
  return 0
}
