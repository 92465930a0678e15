import AVFoundation
import Recognizer
import SwiftUI

/// The camera's own picture. AVFoundation mirrors a front camera's preview by itself, as a mirror would, and
/// never the frames that the model gets.
struct CameraPreview: UIViewRepresentable {
    let source: PreviewSource
    let seen: Seen

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        view.show(source)
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) { view.mark(seen) }

    final class PreviewView: UIView {
        private var coordinator: AVCaptureDevice.RotationCoordinator?
        private var turning: NSKeyValueObservation?
        private let square = CALayer()
        private var seen = Seen()
        private var isFront = false

        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

        func show(_ source: PreviewSource) {
            guard let preview = layer as? AVCaptureVideoPreviewLayer else { return }
            preview.session = source.session
            preview.videoGravity = .resizeAspectFill
            isFront = source.isFront
            square.borderWidth = 1
            square.borderColor = UIColor.white.cgColor
            preview.addSublayer(square)
            guard let device = source.device else { return }
            let coordinator = AVCaptureDevice.RotationCoordinator(device: device, previewLayer: preview)
            self.coordinator = coordinator
            turning = coordinator.observe(
                \.videoRotationAngleForHorizonLevelPreview, options: [.initial, .new]
            ) { [weak self] _, change in
                guard let angle = change.newValue else { return }
                Task { @MainActor in self?.turn(to: angle) }
            }
        }

        override func layoutSubviews() {
            super.layoutSubviews()
            mark(seen)
        }

        /// Draws the square that the model sees; the layer fills the view and cuts the picture off.
        func mark(_ seen: Seen) {
            self.seen = seen
            guard let preview = layer as? AVCaptureVideoPreviewLayer else { return }
            let whole = preview.layerRectConverted(
                fromMetadataOutputRect: CGRect(x: 0, y: 0, width: 1, height: 1))
            let part = seen.shown(front: isFront).square(Double(whole.size.width), Double(whole.size.height))
            square.frame = CGRect(
                x: Double(whole.origin.x) + part.left, y: Double(whole.origin.y) + part.top,
                width: part.side, height: part.side)
        }

        private func turn(to angle: CGFloat) {
            guard let connection = (layer as? AVCaptureVideoPreviewLayer)?.connection,
                connection.isVideoRotationAngleSupported(angle)
            else { return }
            connection.videoRotationAngle = angle
            mark(seen)
        }
    }
}
