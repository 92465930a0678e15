import AVFoundation
import SwiftUI

/// The camera's own picture. AVFoundation mirrors a front camera's preview by itself, as a mirror would, and
/// never the frames that the model gets.
struct CameraPreview: UIViewRepresentable {
    let source: PreviewSource

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        view.show(source)
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) {}

    final class PreviewView: UIView {
        private var coordinator: AVCaptureDevice.RotationCoordinator?
        private var turning: NSKeyValueObservation?

        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

        func show(_ source: PreviewSource) {
            guard let preview = layer as? AVCaptureVideoPreviewLayer else { return }
            preview.session = source.session
            preview.videoGravity = .resizeAspectFill
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

        private func turn(to angle: CGFloat) {
            guard let connection = (layer as? AVCaptureVideoPreviewLayer)?.connection,
                connection.isVideoRotationAngleSupported(angle)
            else { return }
            connection.videoRotationAngle = angle
        }
    }
}
