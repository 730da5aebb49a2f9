/// Attribute numbers as C lists them: ascending, system columns before 0, which is the whole row.
extension Lent where Element == Int16 {
  /// The first of the columns, ascending themselves, that the list has; 0 where it has none of them.
  func first(of columns: some Sequence<Int16>) -> Int16 {
    var index = 0
    for column in columns {
      while let next = element(at: index), next < column {
        if next == 0 { return column }
        index &+= 1
      }
      if element(at: index) == column { return column }
    }
    return 0
  }
}
