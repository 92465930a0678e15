import Foundation

/// A JSON value. Foundation reads and writes it; this type keeps what is null apart from what is missing.
public enum Json: Codable, Equatable, Sendable {
    case null
    case truth(Bool)
    case number(Double)
    case text(String)
    case list([Json])
    case object([String: Json])

    static let mostBytes = 4 << 20  // of a manifest
    static let mostDepth = 32

    /// Reads a text. Throws `BundleError` for what is no JSON, too long or too deep.
    public static func parse(_ data: Data) throws -> Json {
        guard data.count <= mostBytes else {
            throw BundleError("more than \(mostBytes) bytes are no manifest: export again")
        }
        guard depth(of: data) <= mostDepth else {
            throw BundleError("not valid JSON: nested deeper than \(mostDepth)")
        }
        do {
            return try JSONDecoder().decode(Json.self, from: data)
        } catch {
            throw BundleError("not valid JSON: export again")
        }
    }

    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let list = try? value.decode([Json].self) {
            self = .list(list)
        } else if let object = try? value.decode([String: Json].self) {
            self = .object(object)
        } else if let truth = try? value.decode(Bool.self) {
            self = .truth(truth)
        } else if value.decodeNil() {
            self = .null
        } else {
            throw DecodingError.dataCorruptedError(in: value, debugDescription: "no JSON value")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .truth(let truth): try value.encode(truth)
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        case .list(let list): try value.encode(list)
        case .object(let object): try value.encode(object)
        }
    }

    /// The text, keys in order. Throws for a number that is not finite.
    public func written() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }

    /// How deep brackets are nested, those in strings left out: asked before anything recurses.
    private static func depth(of data: Data) -> Int {
        var depth = 0
        var deepest = 0
        var quoted = false
        var escaped = false
        for byte in data {
            if quoted {
                if escaped {
                    escaped = false
                } else if byte == UInt8(ascii: "\\") {
                    escaped = true
                } else if byte == UInt8(ascii: "\"") {
                    quoted = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): quoted = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                deepest = max(deepest, depth)
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
        }
        return deepest
    }
}

extension Json {
    /// Null for a value that is not there.
    static func orNull<T>(_ value: T?, _ make: (T) -> Json) -> Json { value.map(make) ?? .null }

    static func whole(_ value: some BinaryInteger) -> Json { .number(Double(value)) }
}
