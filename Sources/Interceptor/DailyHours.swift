import Contract

/// The hours of a guard, `HH:MM-HH:MM` with a time zone's name or without: from the first minute on, up to the last one,
/// that one excluded. They may pass midnight.
struct DailyHours {
  /// Minutes of the day.
  private let start: Int16
  private let end: Int16
  /// Index of the zone in what C tells of the time; below 0 where the server knows no such zone.
  let zone: Int32

  /// A zone that the server has lost since the definition must not make a policy invalid that is in force.
  init(_ text: TextView, zone: Int32, atDefinition: Bool) throws(PolicyError) {
    let bytes = text.copy
    guard bytes.count == 11 || (bytes.count > 12 && bytes[11] == 32), bytes[5] == 45,
      let start = DailyHours.minute(bytes[0..<5]), let end = DailyHours.minute(bytes[6..<11])
    else { throw DailyHours.malformed(Message("invalid hours", quoting: bytes)) }
    guard start < 1440, start != end else {
      throw DailyHours.malformed(Message("hours must not begin when they end, nor at 24:00:", quoting: bytes))
    }
    guard zone >= 0 || !atDefinition else {
      throw DailyHours.malformed(Message("unknown time zone in hours", quoting: bytes))
    }
    self.start = start
    self.end = end
    self.zone = zone
  }

  /// Whether a minute of the day in the zone is within the hours; `unknown` where C cannot tell the time.
  func contain(_ minutes: Lent<Int16>, unknown: Bool) -> Bool {
    guard let minute = minutes.element(at: Int(zone)), minute >= 0 else { return unknown }
    return start < end ? minute >= start && minute < end : minute >= start || minute < end
  }

  /// "08:30" in minutes; 24:00 is the end of a day.
  private static func minute(_ text: ArraySlice<UInt8>) -> Int16? {
    guard text.count == 5, text.dropFirst(2).first == 58, let hours = number(text.prefix(2)),
      let minutes = number(text.suffix(2)), minutes < 60
    else { return nil }
    let total = hours &* 60 &+ minutes
    return total <= 1440 ? total : nil
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> Int16? {
    var value: Int16 = 0
    for digit in digits {
      guard digit >= 48, digit <= 57 else { return nil }
      value = value &* 10 &+ Int16(digit &- 48)
    }
    return value
  }

  private static func malformed(_ message: Message) -> PolicyError {
    PolicyError(
      .invalidParameter, message,
      hint: Message(
        """
        Accepted: HH:MM-HH:MM, from 00:00 to 24:00, with the name of a time zone of pg_timezone_names or without: \
        22:00-06:00 Europe/Oslo. Without, the server's log_timezone counts.
        """))
  }
}
