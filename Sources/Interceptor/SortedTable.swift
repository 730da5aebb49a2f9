/// Values by number, made once and looked up often: a binary search, without a hash to compute.
struct SortedTable<Value> {
  private let keys: [UInt64]
  private let values: [Value]

  init(_ values: [UInt64: Value]) {
    let sorted = values.sorted { $0.key < $1.key }
    keys = sorted.map { $0.key }
    self.values = sorted.map { $0.value }
  }

  var isEmpty: Bool { keys.isEmpty }

  func value(for key: UInt64) -> Value? {
    var low = 0
    var high = keys.count
    while low < high {
      let middle = (low &+ high) >> 1
      if keys[middle] < key { low = middle &+ 1 } else { high = middle }
    }
    guard low < keys.count, keys[low] == key else { return nil }
    return values[low]
  }
}
